package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/registration"
)

// busyPause is when to ask again after too much was asked.
const busyPause = 2 * time.Second

// groupRefusal says how one error of the rules looks from outside.
type groupRefusal struct {
	err    error
	status int
	code   Code
}

// groupRefusals names the refusals of registration.
func groupRefusals() []groupRefusal {
	return []groupRefusal{
		{registration.ErrMalformed, http.StatusBadRequest, CodeMalformed},
		{registration.ErrEKChain, http.StatusUnprocessableEntity, CodeEKChain},
		{registration.ErrEKProfile, http.StatusUnprocessableEntity, CodeEKProfile},
		{registration.ErrFirmware, http.StatusUnprocessableEntity, CodeFirmware},
		{registration.ErrSoftwareTPM, http.StatusUnprocessableEntity, CodeSoftwareTPM},
		{registration.ErrEKRegistered, http.StatusConflict, CodeEKRegistered},
		{registration.ErrTagRegistered, http.StatusConflict, CodeTagRegistered},
		{registration.ErrTemplate, http.StatusUnprocessableEntity, CodeTemplate},
		{registration.ErrJoinProof, http.StatusUnprocessableEntity, CodeJoinProof},
		{registration.ErrLeaked, http.StatusForbidden, CodeLeakedKey},
		{registration.ErrCode, http.StatusUnprocessableEntity, CodeReadmission},
		{registration.ErrCodeUsed, http.StatusConflict, CodeReadmissionUsed},
		{registration.ErrIdentity, http.StatusConflict, CodeIdentity},
		{registration.ErrForm, http.StatusUnprocessableEntity, CodeMalformed},
		{registration.ErrNotFound, http.StatusNotFound, CodeNotFound},
		{registration.ErrAnswered, http.StatusConflict, CodeConflict},
		{registration.ErrNotJoined, http.StatusConflict, CodeConflict},
		{registration.ErrSessionExpired, http.StatusGone, CodeSessionExpired},
		{registration.ErrActivation, http.StatusUnprocessableEntity, CodeActivation},
		{registration.ErrExpelled, http.StatusForbidden, CodeForbidden},
		{registration.ErrExpulsion, http.StatusConflict, CodeExpelled},
		{registration.ErrNoPapers, http.StatusNotFound, CodeNotFound},
		{registration.ErrRevoked, http.StatusForbidden, CodeRevoked},
		{registration.ErrState, http.StatusConflict, CodeConflict},
		{registration.ErrUnregistered, http.StatusForbidden, CodeUnregistered},
		{registration.ErrWarrant, http.StatusForbidden, CodeWarrant},
		{registration.ErrOpening, http.StatusForbidden, CodeForbidden},
		{registration.ErrEpoch, http.StatusServiceUnavailable, CodeEpoch},
		// After the refusals that wrap it, an id or a form that does not read.
		{enrol.ErrMalformed, http.StatusBadRequest, CodeMalformed},
	}
}

// groupProblem is the translator of the group manager's routes.
func groupProblem(err error) *Problem {
	if errors.Is(err, registration.ErrUnavailable) {
		return &Problem{Status: http.StatusServiceUnavailable, Code: CodeUnavailable, RetryAfter: time.Second,
			Detail: "the group manager can't answer now; repeat the request unchanged", Cause: err}
	}
	if errors.Is(err, registration.ErrBusy) {
		return &Problem{Status: http.StatusServiceUnavailable, Code: CodeBusy, RetryAfter: busyPause, Detail: err.Error(), Cause: err}
	}
	for _, r := range groupRefusals() {
		if errors.Is(err, r.err) {
			if r.status == http.StatusServiceUnavailable {
				return &Problem{Status: r.status, Code: r.code, Detail: err.Error(), RetryAfter: busyPause}
			}
			return NewProblem(r.status, r.code, err.Error())
		}
	}
	return nil
}
