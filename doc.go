// Package specie is the root of a hardware-backed electronic-cash system. It
// holds no code: begin with README.md, or with the room that you need.
//
//	programs    cmd/specie  cmd/specied  cmd/specie-ceremony   thin mains
//	edges       server  wallet  merchant  dashboard            HTTP, purse, till, operator's page
//	clients     client/...                                     generated from api/
//	rules       issuer  registration  ceremony  opening        what may happen
//	state       ledger  ledger/sqlite  ledger/postgres         what has happened
//	signing     signer                                         keys in another process
//	devices     hsm  tpm  attest                               keys in hardware
//	proof       evidence                                       what papers prove, years later
//	documents   coin  groupdoc                                 what is signed
//	roots       group  group/fp256bn  trust  frame             mathematics, who may sign what
//	door        gate                                           a page behind a printed code
//	paper       words                                          a secret written down as words
//	pictures    qr                                             text that a camera reads
//	testing     fault  browsertest  docstest                   crashes at a point, a real browser, pages that are run
//
// Arrows go downward only; rooms of one band do not import each other. The
// test beside this file holds the tree to that.
package specie
