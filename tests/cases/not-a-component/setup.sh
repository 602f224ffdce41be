echo "hello" > plugins/text.wasm
printf '\000asm\001\000\000\000' > plugins/module.wasm
: > plugins/empty.wasm
