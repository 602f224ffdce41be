# Version 1 is saved; version 2 begins with it.
"$OXIDE_PROGRAM" run . --input version=1 > first.log 2>&1
rm first.log
