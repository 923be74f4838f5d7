package tpm

import "slices"

// flaw is a known fault of some firmware that endangers group keys or the
// endorsement keys behind them.
type flaw struct {
	manufacturer string
	name         string
	effect, cure string
	// ranges are the versions that have it, from the first to before the second:
	// major, minor and third number.
	ranges [][2][3]uint16
}

const updateFirmware = "update the TPM's firmware with what the machine's maker offers"

// flaws lists what a source says in plain numbers, and nothing else.
func flaws() []flaw {
	return []flaw{
		{
			// Infineon's and Microsoft's lists (ADV170012): 4.33 and earlier, 4.40 to
			// 4.42, 5.61 and earlier, 6.42 and earlier, 7.61 and earlier, 133.32 and
			// earlier. The RSA endorsement key is one of the weak keys.
			manufacturer: "IFX", name: "CVE-2017-15361 (ROCA)",
			effect: "its RSA keys can be computed from what is public, so that a program could pass for this TPM",
			cure:   updateFirmware,
			ranges: [][2][3]uint16{
				{{4, 0}, {4, 34}},
				{{4, 40}, {4, 43}},
				{{5, 0}, {5, 62}},
				{{6, 0}, {6, 43}},
				{{7, 0}, {7, 62}},
				{{133, 0}, {133, 33}},
			},
		},
		{
			// ST's list, st.com/content/st_com/en/campaigns/tpm-update.html: "FW versions
			// affected"; what is not listed is not affected.
			manufacturer: "STM", name: "CVE-2019-16863 (TPM-FAIL)",
			effect: "how long it takes to sign gives elliptic-curve keys away to a program on this machine",
			cure:   updateFirmware,
			ranges: [][2][3]uint16{
				{{71, 0}, {71, 1}}, {{71, 4}, {71, 5}}, {{71, 12}, {71, 13}},
				{{73, 0}, {73, 1}}, {{73, 4}, {73, 6}}, {{73, 8}, {73, 10}},
				{{74, 0}, {74, 1}}, {{74, 4}, {74, 6}}, {{74, 8}, {74, 10}}, {{74, 16}, {74, 17}},
			},
		},
		{
			// INTEL-SA-00241, and the CVE's text: "Intel PTT before versions 11.8.70,
			// 11.11.70, 11.22.70, 12.0.45, 13.0.0 and 14.0.10; Intel TXE 3.1.70". TXE
			// 4.0 and SPS are left out: their numbers can't be told from each other.
			manufacturer: "INTC", name: "CVE-2019-11090 (TPM-FAIL)",
			effect: "how long it takes to sign gives elliptic-curve keys away to a program on this machine",
			cure:   "update the machine's firmware (the part called ME or CSME)",
			ranges: [][2][3]uint16{
				{{3, 0}, {3, 1, 70}},
				{{11, 0}, {11, 8, 70}},
				{{11, 10}, {11, 11, 70}},
				{{11, 20}, {11, 22, 70}},
				{{12, 0}, {12, 0, 45}},
				{{14, 0}, {14, 0, 10}},
			},
		},
	}
}

// knownFlaw looks a firmware up.
func knownFlaw(manufacturer string, version [4]uint16) (flaw, bool) {
	for _, f := range flaws() {
		if f.manufacturer != manufacturer {
			continue
		}
		for _, r := range f.ranges {
			if slices.Compare(version[:3], r[0][:]) >= 0 && slices.Compare(version[:3], r[1][:]) < 0 {
				return f, true
			}
		}
	}
	return flaw{}, false
}

// makerName is the name behind an id of the TCG Vendor ID Registry, or the id.
func makerName(id string) string {
	for _, m := range [][2]string{
		{"AMD", "AMD"}, {"ATML", "Atmel"}, {"BRCM", "Broadcom"}, {"CSCO", "Cisco"}, {"GOOG", "Google"}, {"HPE", "HPE"},
		{"HISI", "Huawei"}, {"IBM", "IBM"}, {"IFX", "Infineon"}, {"INTC", "Intel"}, {"LEN", "Lenovo"}, {"MSFT", "Microsoft"},
		{"NSM", "National Semiconductor"}, {"NTC", "Nuvoton"}, {"NTZ", "Nationz"}, {"QCOM", "Qualcomm"}, {"ROCC", "Fuzhou Rockchip"},
		{"SMSC", "SMSC"}, {"SMSN", "Samsung"}, {"SNS", "Sinosun"}, {"STM", "STMicroelectronics"}, {"TXN", "Texas Instruments"},
		{"VMW", "VMware"}, {"WEC", "Winbond"},
	} {
		if m[0] == id {
			return m[1]
		}
	}
	return "an unknown maker (" + id + ")"
}
