import unittest

from changelog import Commit, insert, read_commit, read_log, section


class ReadCommit(unittest.TestCase):
    def test_takes_type_scope_and_description(self) -> None:
        commit = read_commit("a1", "feat(日本語): colours: all", "")
        self.assertEqual(commit, Commit("a1", "feat", "日本語", "colours: all", breaking=False))

    def test_a_mark_or_a_footer_is_breaking(self) -> None:
        for subject, body, told in [
            ("fix!: colours", "", "colours"),
            ("fix: colours", "Text.\n\nBREAKING CHANGE: no grey\nReviewed-by: Ada\n", "no grey"),
            ("fix!: colours", "BREAKING-CHANGE: no grey", "no grey"),
        ]:
            commit = read_commit("a1", subject, body)
            self.assertEqual(commit, Commit("a1", "fix", None, told, breaking=True))

    def test_the_words_within_a_line_are_no_footer(self) -> None:
        commit = read_commit("a1", "fix: colours", "No BREAKING CHANGE: nothing")
        self.assertEqual(commit, Commit("a1", "fix", None, "colours", breaking=False))

    def test_refuses_what_is_no_convention(self) -> None:
        for subject in ["quick fix", "fix:x", "fix(a: x", "fix2: x", ": x", "fix (a): x", "fix: ", "Просто: x", "fix(): x"]:
            self.assertIsNone(read_commit("a1", subject, ""), subject)


class ReadLog(unittest.TestCase):
    def test_counts_all_and_skips_merges(self) -> None:
        log = read_log("a\x1fMerge x\x1f\x1e\nb\x1foops\x1f\x1e\nc\x1fperf: x\x1fline\n\x1e\n")
        self.assertEqual((log.count, log.unconventional, log.bump), (3, [("b", "oops")], "patch"))

    def test_an_empty_log_asks_for_no_version(self) -> None:
        self.assertEqual((read_log("").count, read_log("").bump), (0, "none"))


class Section(unittest.TestCase):
    def test_a_breaking_feature_stands_under_breaking_changes_only(self) -> None:
        commits = [Commit("a", "fix", None, "x", False), Commit("b", "feat", "s", "y", True)]
        expected = "## 1\n\n### Breaking changes\n\n- **s:** y (b)\n\n### Fixes\n\n- x (a)\n"
        self.assertEqual(section("1", commits), expected)

    def test_nothing_to_tell(self) -> None:
        self.assertEqual(section("1", [Commit("a", "docs", None, "x", False)]), "## 1\n\nNo changes that users notice.\n")


class Insert(unittest.TestCase):
    def test_makes_a_changelog(self) -> None:
        self.assertEqual(insert("## 1\n", None), "# Changelog\n\n## 1\n")

    def test_goes_below_the_title(self) -> None:
        self.assertEqual(insert("## 2\n", "x\n# T\n\n\n## 1\n# U\n"), "x\n# T\n\n\n## 2\n\n## 1\n# U\n")

    def test_the_title_may_be_all(self) -> None:
        self.assertEqual(insert("## 2\n", "# T"), "# T\n\n## 2\n\n")

    def test_goes_to_the_top_without_a_title(self) -> None:
        self.assertEqual(insert("## 2\n", "#T\n"), "## 2\n\n#T\n")


if __name__ == "__main__":
    unittest.main()
