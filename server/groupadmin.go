package server

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/server/groupapi"
)

// GetMembers implements GET /admin/v1/members.
func (h *groupHandlers) GetMembers(ctx context.Context, r groupapi.GetMembersRequestObject) (groupapi.GetMembersResponseObject, error) {
	var after enrol.ID
	var err error
	if r.Params.After != nil {
		if after, err = enrol.ParseID(*r.Params.After); err != nil {
			return nil, err
		}
	}
	page := ledger.Page{}
	if r.Params.Limit != nil {
		page.Limit = *r.Params.Limit
	}
	names := r.Params.Names != nil && *r.Params.Names
	members, err := h.m.Members(ctx, after, page.Size(), names)
	if err != nil {
		return nil, err
	}
	out := groupapi.GetMembers200JSONResponse{Members: []groupapi.Member{}}
	for _, m := range members {
		out.Members = append(out.Members, *memberOf(m))
	}
	if len(members) == page.Size() {
		out.Next = new(members[len(members)-1].ID.String())
	}
	return out, nil
}

// GetMember implements GET /admin/v1/members/{id}.
func (h *groupHandlers) GetMember(ctx context.Context, r groupapi.GetMemberRequestObject) (groupapi.GetMemberResponseObject, error) {
	m, err := h.member(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return groupapi.GetMember200JSONResponse(*m), nil
}

// ExpelMember implements POST /admin/v1/members/{id}/expulsion.
func (h *groupHandlers) ExpelMember(ctx context.Context, r groupapi.ExpelMemberRequestObject) (groupapi.ExpelMemberResponseObject, error) {
	id, err := enrol.ParseID(r.Id)
	if err != nil {
		return nil, err
	}
	if err := h.m.Expel(ctx, id); err != nil {
		return nil, err
	}
	m, err := h.member(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return groupapi.ExpelMember200JSONResponse(*m), nil
}

// ReadmitMember implements POST /admin/v1/members/{id}/readmission.
func (h *groupHandlers) ReadmitMember(ctx context.Context, r groupapi.ReadmitMemberRequestObject) (groupapi.ReadmitMemberResponseObject, error) {
	id, err := enrol.ParseID(r.Id)
	if err != nil {
		return nil, err
	}
	a, err := h.m.Readmit(ctx, id)
	if err != nil {
		return nil, err
	}
	return groupapi.ReadmitMember200JSONResponse{Code: a.Code.Reveal(), Expires: a.Expires}, nil
}

// HandOutTranscript implements POST /admin/v1/members/{id}/transcript.
func (h *groupHandlers) HandOutTranscript(ctx context.Context, r groupapi.HandOutTranscriptRequestObject) (groupapi.HandOutTranscriptResponseObject, error) {
	id, err := enrol.ParseID(r.Id)
	if err != nil {
		return nil, err
	}
	jws, err := signatures(r.Body.Warrant)
	if err != nil {
		return nil, err
	}
	statement, err := h.m.Transcript(ctx, id, jws)
	if err != nil {
		return nil, err
	}
	return groupapi.HandOutTranscript200JSONResponse{Statement: string(statement)}, nil
}

// GetStatistics implements GET /admin/v1/statistics.
func (h *groupHandlers) GetStatistics(ctx context.Context, _ groupapi.GetStatisticsRequestObject) (groupapi.GetStatisticsResponseObject, error) {
	c, err := h.m.Counts(ctx)
	if err != nil {
		return nil, err
	}
	out := groupapi.GetStatistics200JSONResponse{Sessions: c.Sessions, Warrants: scopesOf(c.Warrants)}
	out.Members.Active = c.Members[ledger.MemberActive]
	out.Members.Revoked = c.Members[ledger.MemberRevoked]
	out.Members.Succeeded = c.Members[ledger.MemberSucceeded]
	out.Members.Expelled = c.Members[ledger.MemberExpelled]
	return out, nil
}

// EnterWarrant implements POST /admin/v1/warrants.
func (h *groupHandlers) EnterWarrant(ctx context.Context, r groupapi.EnterWarrantRequestObject) (groupapi.EnterWarrantResponseObject, error) {
	jws, err := signatures(r.Body.Warrant)
	if err != nil {
		return nil, err
	}
	e, err := h.m.EnterWarrant(ctx, jws)
	if err != nil {
		return nil, err
	}
	return groupapi.EnterWarrant200JSONResponse(entryOf(e)), nil
}

// GetWarrantPapers implements GET /admin/v1/warrants/{digest}.
func (h *groupHandlers) GetWarrantPapers(ctx context.Context, r groupapi.GetWarrantPapersRequestObject) (groupapi.GetWarrantPapersResponseObject, error) {
	digest, err := base64.RawURLEncoding.Strict().DecodeString(r.Digest)
	if err != nil || len(digest) != 32 {
		return nil, fmt.Errorf("%w: a warrant's digest is 32 bytes", registration.ErrMalformed)
	}
	papers, err := h.m.WarrantPapers(ctx, [32]byte(digest))
	if err != nil {
		return nil, err
	}
	var out groupapi.GetWarrantPapers200JSONResponse
	for _, p := range papers {
		out.Warrant = append(out.Warrant, string(p))
	}
	return out, nil
}

// Identify implements POST /admin/v1/openings.
func (h *groupHandlers) Identify(ctx context.Context, r groupapi.IdentifyRequestObject) (groupapi.IdentifyResponseObject, error) {
	if len(r.Body.Opening) == 0 {
		return nil, fmt.Errorf("%w: no opening", registration.ErrMalformed)
	}
	statement, err := h.m.Identify(ctx, r.Body.Opening)
	if err != nil {
		return nil, err
	}
	return groupapi.Identify200JSONResponse{Statement: string(statement)}, nil
}

func (h *groupHandlers) member(ctx context.Context, text string) (*groupapi.Member, error) {
	id, err := enrol.ParseID(text)
	if err != nil {
		return nil, err
	}
	m, err := h.m.Member(ctx, id)
	if err != nil {
		return nil, err
	}
	return memberOf(m), nil
}

func memberOf(m *registration.Member) *groupapi.Member {
	out := &groupapi.Member{
		Id: m.ID.String(), State: groupapi.MemberState(m.State), Epoch: int64(m.Epoch),
		Tag: m.Tag[:], JoinedAt: m.JoinedAt, Subject: string(m.Subject),
	}
	if m.Name != "" {
		out.Name = new(m.Name)
	}
	if m.Succeeds != (enrol.ID{}) {
		out.Succeeds = new(m.Succeeds.String())
	}
	if m.SucceededBy != (enrol.ID{}) {
		out.SucceededBy = new(m.SucceededBy.String())
	}
	if t := m.TPM; t != nil {
		out.Tpm = &groupapi.MemberTPM{
			EkRoots: t.Roots[:], Root: t.Root[:], Manufacturer: t.Manufacturer, Model: t.Model, Version: t.Version, Software: t.Software,
		}
	}
	return out
}

func signatures(texts []string) ([][]byte, error) {
	if len(texts) == 0 {
		return nil, fmt.Errorf("%w: a warrant without signatures", registration.ErrMalformed)
	}
	out := make([][]byte, len(texts))
	for i, t := range texts {
		out[i] = []byte(t)
	}
	return out, nil
}
