package fp256bn

//go:generate go run ./internal/gen
