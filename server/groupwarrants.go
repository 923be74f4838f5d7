package server

import (
	"context"
	"fmt"

	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/server/groupapi"
)

// GetWarrants implements GET /v1/warrants: what warrant.ParseRegister reads.
func (h *groupHandlers) GetWarrants(ctx context.Context, r groupapi.GetWarrantsRequestObject) (groupapi.GetWarrantsResponseObject, error) {
	var after uint64
	if p := r.Params.After; p != nil {
		if *p < 0 {
			return nil, fmt.Errorf("%w: after is the number of an entry", registration.ErrMalformed)
		}
		after = uint64(*p)
	}
	entries, err := h.m.Warrants(ctx, after)
	if err != nil {
		return nil, err
	}
	out := groupapi.GetWarrants200JSONResponse{V: 1, Group: h.m.Name(), Entries: []groupapi.WarrantEntry{}}
	for i := range entries {
		out.Entries = append(out.Entries, entryOf(&entries[i]))
	}
	return out, nil
}

// CountWarrants implements GET /v1/warrants/counts.
func (h *groupHandlers) CountWarrants(ctx context.Context, _ groupapi.CountWarrantsRequestObject) (groupapi.CountWarrantsResponseObject, error) {
	c, err := h.m.WarrantCounts(ctx)
	if err != nil {
		return nil, err
	}
	return groupapi.CountWarrants200JSONResponse{
		Size: int64(c.Head.Size), Head: c.Head.Head[:], Counts: scopesOf(c.Counts),
	}, nil
}

func entryOf(e *warrant.Entry) groupapi.WarrantEntry {
	return groupapi.WarrantEntry{
		Seq: int64(e.Seq), Prev: e.Prev[:], At: e.At.UTC(), Scope: groupapi.WarrantEntryScope(e.Scope), Warrant: e.Warrant[:],
	}
}

func scopesOf(counts map[warrant.Scope]int64) groupapi.Scopes {
	return groupapi.Scopes{Open: counts[warrant.Open], Trace: counts[warrant.Trace], Expel: counts[warrant.Expel]}
}
