// Package groupapi is the group manager's server interface, generated from
// api/group.yaml and never edited.
//
// It must be imported by package server only.
package groupapi

//go:generate go tool oapi-codegen -config config.yaml ../../api/group.yaml
