mkdir -p oxide.yaml
