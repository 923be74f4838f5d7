// Package browsertest lets a test use a page as a person does: in a real
// Chromium without a window, through what is shown and with mouse, finger and
// keyboard.
//
// A page that a test opened is watched until the test ends. The test fails for
// each error on the page's console, each thing that the page's content security
// policy stopped, each exception that nothing caught, and each request that
// leaves the page's origin; see [Page.Expect] for the ones that a test provokes.
//
// What documentation shows is made here too, by [Page.Picture], so that it can't
// drift from what people see. Fonts are those of Debian's fonts-inter and
// fonts-dejavu-core and no other, so pictures are alike on every machine.
//
// It must not be imported by anything but tests. scripts/setup installs Chromium
// and the fonts.
//
// # Errors
//
// Whatever goes wrong ends the test, with the page's text in its log.
//
// # Concurrency
//
// A Browser may be used by many tests at once; each page has cookies and storage
// of its own. A Page belongs to one goroutine, that of its test.
package browsertest
