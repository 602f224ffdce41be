# The first run, as root of the container, saves what the second one restores.
"$OXIDE_PROGRAM" run . > first.log 2>&1 || { cat first.log >&2; exit 1; }
rm first.log
