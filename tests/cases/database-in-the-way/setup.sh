mkdir -p "$OXIDE_DATA_DIR/oxide.db"
