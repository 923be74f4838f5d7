// Package issuerapi is the issuer's server interface, generated from
// api/issuer.yaml and never edited.
//
// It must be imported by package server only.
package issuerapi

//go:generate go tool oapi-codegen -config config.yaml ../../api/issuer.yaml
