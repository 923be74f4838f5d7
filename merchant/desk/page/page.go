// Package page owns the till's page: what a merchant's browser loads from package
// desk. It is embedded whole; nothing is fetched from elsewhere.
package page

import (
	"embed"
	"io/fs"
)

//go:embed assets
var assets embed.FS

// FS has index.html at its root, and all that it refers to.
var FS fs.FS = sub()

func sub() fs.FS {
	out, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // only a name that is not valid
	}
	return out
}
