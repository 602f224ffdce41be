mkdir -p ../data
echo mine > ../data/compiled
