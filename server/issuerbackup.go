package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/server/issuerapi"
)

// backup streams a bank's ledger.
type backup struct {
	ctx  context.Context
	bank *issuer.Bank
	made *backups
}

// backups remembers when the last one ended that was taken whole through this
// process.
type backups struct {
	mu sync.Mutex
	at time.Time
}

func (b *backups) ended(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = at
}

// last is zero before the first.
func (b *backups) last() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

// GetBackup implements GET /admin/v1/backup.
func (h *issuerHandlers) GetBackup(ctx context.Context, _ issuerapi.GetBackupRequestObject) (issuerapi.GetBackupResponseObject, error) {
	return backup{ctx, h.bank, h.backups}, nil
}

// VisitGetBackupResponse implements issuerapi.GetBackupResponseObject. A backup
// takes as long as it takes, but a reader that takes nothing is cut off as
// everywhere.
func (b backup) VisitGetBackupResponse(w http.ResponseWriter) error {
	out := &patient{w: w, control: http.NewResponseController(w)}
	err := b.bank.Backup(b.ctx, out)
	if err == nil {
		b.made.ended(b.bank.Now())
	}
	if err != nil && out.begun {
		// The status is sent: a stream without its end says the rest.
		return fmt.Errorf("backup broken off: %w", err)
	}
	return err
}

// patient is a body whose deadline is moved on with all that is written.
type patient struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

// Write implements io.Writer.
func (p *patient) Write(b []byte) (int, error) {
	if !p.begun {
		p.begun = true
		p.w.Header().Set("Content-Type", "application/octet-stream")
		p.w.WriteHeader(http.StatusOK)
	}
	err := p.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.w.Write(b)
}
