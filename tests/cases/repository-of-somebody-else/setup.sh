unset GIT_TEST_ASSUME_DIFFERENT_OWNER
git init -q -b main .
git commit -q --allow-empty -m first
