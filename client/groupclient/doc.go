// Package groupclient is a typed client of a group manager's REST API,
// generated from api/group.yaml and never edited.
//
// Every request but the beginning of a registration may be repeated unchanged
// until it is answered. Refusals are in ApplicationproblemJSONDefault, by
// their code.
package groupclient

//go:generate go tool oapi-codegen -config config.yaml ../../api/group.yaml
