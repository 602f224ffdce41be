mkdir -p ../data
echo mine > ../data/work
