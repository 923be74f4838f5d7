// Package issuerclient is a typed client of a bank's REST API, generated from
// api/issuer.yaml and never edited.
//
// Every request but the opening of an account may be repeated unchanged until
// it is answered. Refusals are in ApplicationproblemJSONDefault, by their
// code.
package issuerclient

//go:generate go tool oapi-codegen -config config.yaml ../../api/issuer.yaml
