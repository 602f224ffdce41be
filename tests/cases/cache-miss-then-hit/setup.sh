# The first run misses and saves; the one that is shown restores.
git init --quiet .
echo 1 > lock
git add lock oxide.yaml
git commit --quiet --message "a lock file"
"$OXIDE_PROGRAM" run . --verbose > first.log
grep --quiet "no entry for .deps-" first.log
grep --quiet "saved .deps-" first.log
rm first.log
