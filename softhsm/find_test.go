package softhsm

import (
	"errors"
	"strings"
	"testing"
)

func TestAMissingModuleNamesThePackageToInstall(t *testing.T) {
	_, err := firstFile([]string{"/nonexistent/a.so", t.TempDir()})
	if !errors.Is(err, ErrNotInstalled) || !strings.Contains(err.Error(), "apt-get install softhsm2") {
		t.Fatalf("got %v", err)
	}
}
