// Package registrationtest makes a group manager on a SQLite register, and
// emulated TPMs with endorsement certificates to enrol with him: everything is
// real but the manufacturer.
//
// It is for tests of registration and of the packages above it and must not be
// imported by anything else. It needs the programs swtpm and swtpm_setup.
package registrationtest
