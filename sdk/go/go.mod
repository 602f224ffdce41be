module oxide

go 1.25
