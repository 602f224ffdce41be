//! Plugins as they were built for each released version of the contract run on the host of today.

use std::fs;

use crate::oxide::{Project, root};

/// The interfaces of 0.1.0; a later version has them, too.
const INTERFACES: [&str; 11] = [
    "types",
    "log",
    "output",
    "run-info",
    "workspace",
    "environment",
    "git",
    "secrets",
    "containers",
    "cache",
    "artifacts",
];

const PIPELINE: &str = r#"
version: "1"
name: golden
stages:
  a:
    environment: host
    steps:
      - id: golden
        uses: ./golden.wasm
        with: { remote: "${{ git.repository }}", secret: TOKEN }
        grants:
          workspace: write
          environment: true
          git: true
          containers: true
          cache: write
          artifacts: write
          secrets: [TOKEN]
      - run: |
          echo "printed ${{ steps.golden.outputs.printed }}, fetched ${{ steps.golden.outputs.subject }}"
          echo "files ${{ steps.golden.outputs.files[0] }} and ${{ steps.golden.outputs.files[1] }}"
          echo "in ${{ steps.golden.outputs.pipeline }}"
"#;

#[test]
fn plugins_of_every_released_contract_still_run() {
    let mut versions = 0;
    for entry in fs::read_dir(root().join("wit/released")).unwrap().flatten() {
        let version = entry.file_name().into_string().unwrap();
        let kept = root().join("tests/golden").join(&version).join("plugin.wasm");
        assert!(kept.is_file(), "{version} was released without a plugin to keep: tests/golden/README.md says how");
        let mut project = Project::with_pipeline(PIPELINE);
        project.set("TOKEN", "a-secret-of-22-letters");
        fs::copy(kept, project.path("golden.wasm")).unwrap();
        project.shell("git init -q -b main . && git add oxide.yaml && git commit -q -m 'a golden commit'");
        let shown = project.oxide(&["plugin", "inspect", "golden.wasm"]).expect(0).stdout;
        assert!(shown.contains(&format!("contract  {version}")), "{shown}");
        for interface in INTERFACES {
            assert!(shown.contains(&format!("oxide:ci/{interface}@{version}")), "{interface} is not in\n{shown}");
        }
        let shown = project.oxide(&["run", "--verbose", "--secret", "TOKEN"]).expect(0).stdout;
        for expected in ["a golden plugin", "printed length 22, fetched a golden commit", "files 2 and 2", "in golden"]
        {
            assert!(shown.contains(expected), "`{expected}` is not in\n{shown}");
        }
        versions += 1;
    }
    assert!(versions > 0, "no version was released");
}
