printf 'FROM_FILE="quoted value"\nUNUSED=x\n' > .env
