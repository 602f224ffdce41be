module tests.example/probe

go 1.25

require oxide v0.0.0

// Written by `oxide plugin build`.
replace oxide => ./oxide-sdk
