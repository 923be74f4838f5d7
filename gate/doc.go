// Package gate owns the door of a page that a program serves to the person who
// started it: which Host names it answers to, the access code that is printed
// beside its address, the session that a browser gets for it, and the headers
// that keep a page's content to itself. The operator's dashboard and the till's
// desk stand behind it.
//
// It needs the standard library only, and must never import a package of this
// module.
//
// # Trust
//
// A loopback address is open to every user of the machine and to every page in
// every browser there, hence the code: 60 random bits, made anew at each start,
// compared in constant time, and after a few wrong ones answered no more than
// once a second. A session is 32 random bytes in a cookie that no script reads
// and no other site's request carries. A Host that is not the page's own is
// refused, so that another site's name that points here (DNS rebinding) reads
// nothing; and so is a request that another site's page made.
//
// # Errors
//
// Refusals are plain text with a status: 421 for a wrong Host, 403 for another
// site's request or a wrong code, 429 for tries that come too fast.
//
// # Concurrency
//
// A Gate may be used by any number of goroutines.
package gate
