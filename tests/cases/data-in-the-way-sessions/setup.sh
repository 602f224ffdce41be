mkdir -p ../data
echo mine > ../data/sessions
