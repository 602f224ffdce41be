mkfifo oxide.yaml
