echo "hello from the repository" > hello.txt
git init -q -b main .
git add hello.txt
git commit -q -m "say hello"
