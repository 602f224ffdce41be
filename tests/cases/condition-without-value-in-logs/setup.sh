"$OXIDE_PROGRAM" run . > /dev/null || true
