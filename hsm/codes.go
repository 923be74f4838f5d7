package hsm

import (
	"cmp"
	"fmt"
	"slices"
)

// Return values that this package acts on. Names and numbers follow the
// PKCS#11 3.2 header; the table of miekg/pkcs11 stops at 2.20.
const (
	ckrGeneralError         = 0x05
	ckrAttributeTypeInvalid = 0x12
	ckrEncryptedDataInvalid = 0x40
	ckrEncryptedDataLen     = 0x41
	ckrAEADDecryptFailed    = 0x42
	ckrUserAlreadyLoggedIn  = 0x100
	ckrAlreadyInitialised   = 0x191
	ckrVendorDefined        = 0x80000000
)

// codeName returns the name of a CKR value, vendor codes and unknown codes
// included.
func codeName(code uint) string {
	if info := codeInfo(code); info.name != "" {
		return info.name
	}
	if code >= ckrVendorDefined {
		return fmt.Sprintf("CKR_VENDOR_DEFINED+0x%x", code-ckrVendorDefined)
	}
	return "unknown CKR"
}

// codeClass sorts a CKR value. What the table does not know is a bug: it is
// neither repeated nor hidden.
func codeClass(code uint) Class { return codeInfo(code).class }

// codeIsPIN tells whether the code is about the PIN or the account behind it.
func codeIsPIN(code uint) bool {
	return code >= 0xa0 && code <= 0xa4 || code == 0x102 || code == 0x1b8
}

// codeIsRefusal tells whether the code is an answer to what a new key was
// asked to be: mechanism, size, curve, an attribute. General errors count,
// since some modules have no better word for it.
func codeIsRefusal(code uint) bool {
	switch code {
	case 0x05, 0x06, 0x07, 0x10, 0x12, 0x13, 0x1b, 0x54, 0x62, 0x63, 0x70, 0x71, 0xd0, 0xd1, 0x130, 0x140, 0x200, 0x207, 0x209:
		return true
	}
	return code >= ckrVendorDefined
}

type ckr struct {
	code  uint
	name  string
	class Class
}

func codeInfo(code uint) ckr {
	i, ok := slices.BinarySearchFunc(ckrTable[:], code, func(row ckr, code uint) int { return cmp.Compare(row.code, code) })
	if !ok {
		return ckr{}
	}
	return ckrTable[i]
}

// ckrTable is sorted by code and never written to.
var ckrTable = [...]ckr{
	{0x00, "CKR_OK", ClassBug},
	{0x01, "CKR_CANCEL", ClassRetry},
	{0x02, "CKR_HOST_MEMORY", ClassRetry},
	{0x03, "CKR_SLOT_ID_INVALID", ClassReopen},
	{0x05, "CKR_GENERAL_ERROR", ClassRetry},
	{0x06, "CKR_FUNCTION_FAILED", ClassRetry},
	{0x07, "CKR_ARGUMENTS_BAD", ClassBug},
	{0x08, "CKR_NO_EVENT", ClassBug},
	{0x09, "CKR_NEED_TO_CREATE_THREADS", ClassBug},
	{0x0a, "CKR_CANT_LOCK", ClassBug},
	{0x10, "CKR_ATTRIBUTE_READ_ONLY", ClassBug},
	{0x11, "CKR_ATTRIBUTE_SENSITIVE", ClassBug},
	{0x12, "CKR_ATTRIBUTE_TYPE_INVALID", ClassBug},
	{0x13, "CKR_ATTRIBUTE_VALUE_INVALID", ClassBug},
	{0x1b, "CKR_ACTION_PROHIBITED", ClassOperator},
	{0x20, "CKR_DATA_INVALID", ClassBug},
	{0x21, "CKR_DATA_LEN_RANGE", ClassBug},
	{0x30, "CKR_DEVICE_ERROR", ClassRetry},
	{0x31, "CKR_DEVICE_MEMORY", ClassRetry},
	{0x32, "CKR_DEVICE_REMOVED", ClassReopen},
	{0x40, "CKR_ENCRYPTED_DATA_INVALID", ClassBug},
	{0x41, "CKR_ENCRYPTED_DATA_LEN_RANGE", ClassBug},
	{0x42, "CKR_AEAD_DECRYPT_FAILED", ClassBug},
	{0x50, "CKR_FUNCTION_CANCELED", ClassRetry},
	{0x51, "CKR_FUNCTION_NOT_PARALLEL", ClassBug},
	{0x54, "CKR_FUNCTION_NOT_SUPPORTED", ClassOperator},
	{0x60, "CKR_KEY_HANDLE_INVALID", ClassReopen},
	{0x62, "CKR_KEY_SIZE_RANGE", ClassBug},
	{0x63, "CKR_KEY_TYPE_INCONSISTENT", ClassBug},
	{0x64, "CKR_KEY_NOT_NEEDED", ClassBug},
	{0x65, "CKR_KEY_CHANGED", ClassBug},
	{0x66, "CKR_KEY_NEEDED", ClassBug},
	{0x67, "CKR_KEY_INDIGESTIBLE", ClassBug},
	{0x68, "CKR_KEY_FUNCTION_NOT_PERMITTED", ClassOperator},
	{0x69, "CKR_KEY_NOT_WRAPPABLE", ClassBug},
	{0x6a, "CKR_KEY_UNEXTRACTABLE", ClassBug},
	{0x70, "CKR_MECHANISM_INVALID", ClassOperator},
	{0x71, "CKR_MECHANISM_PARAM_INVALID", ClassBug},
	{0x82, "CKR_OBJECT_HANDLE_INVALID", ClassReopen},
	{0x90, "CKR_OPERATION_ACTIVE", ClassReopen},
	{0x91, "CKR_OPERATION_NOT_INITIALIZED", ClassReopen},
	{0xa0, "CKR_PIN_INCORRECT", ClassOperator},
	{0xa1, "CKR_PIN_INVALID", ClassOperator},
	{0xa2, "CKR_PIN_LEN_RANGE", ClassOperator},
	{0xa3, "CKR_PIN_EXPIRED", ClassOperator},
	{0xa4, "CKR_PIN_LOCKED", ClassOperator},
	{0xb0, "CKR_SESSION_CLOSED", ClassReopen},
	{0xb1, "CKR_SESSION_COUNT", ClassRetry},
	{0xb3, "CKR_SESSION_HANDLE_INVALID", ClassReopen},
	{0xb4, "CKR_SESSION_PARALLEL_NOT_SUPPORTED", ClassBug},
	{0xb5, "CKR_SESSION_READ_ONLY", ClassBug},
	{0xb6, "CKR_SESSION_EXISTS", ClassOperator},
	{0xb7, "CKR_SESSION_READ_ONLY_EXISTS", ClassBug},
	{0xb8, "CKR_SESSION_READ_WRITE_SO_EXISTS", ClassOperator},
	{0xc0, "CKR_SIGNATURE_INVALID", ClassBug},
	{0xc1, "CKR_SIGNATURE_LEN_RANGE", ClassBug},
	{0xd0, "CKR_TEMPLATE_INCOMPLETE", ClassBug},
	{0xd1, "CKR_TEMPLATE_INCONSISTENT", ClassBug},
	{0xe0, "CKR_TOKEN_NOT_PRESENT", ClassReopen},
	{0xe1, "CKR_TOKEN_NOT_RECOGNIZED", ClassOperator},
	{0xe2, "CKR_TOKEN_WRITE_PROTECTED", ClassOperator},
	{0xf0, "CKR_UNWRAPPING_KEY_HANDLE_INVALID", ClassBug},
	{0xf1, "CKR_UNWRAPPING_KEY_SIZE_RANGE", ClassBug},
	{0xf2, "CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT", ClassBug},
	{0x100, "CKR_USER_ALREADY_LOGGED_IN", ClassBug},
	{0x101, "CKR_USER_NOT_LOGGED_IN", ClassReopen},
	{0x102, "CKR_USER_PIN_NOT_INITIALIZED", ClassOperator},
	{0x103, "CKR_USER_TYPE_INVALID", ClassBug},
	{0x104, "CKR_USER_ANOTHER_ALREADY_LOGGED_IN", ClassOperator},
	{0x105, "CKR_USER_TOO_MANY_TYPES", ClassOperator},
	{0x110, "CKR_WRAPPED_KEY_INVALID", ClassBug},
	{0x112, "CKR_WRAPPED_KEY_LEN_RANGE", ClassBug},
	{0x113, "CKR_WRAPPING_KEY_HANDLE_INVALID", ClassBug},
	{0x114, "CKR_WRAPPING_KEY_SIZE_RANGE", ClassBug},
	{0x115, "CKR_WRAPPING_KEY_TYPE_INCONSISTENT", ClassBug},
	{0x120, "CKR_RANDOM_SEED_NOT_SUPPORTED", ClassBug},
	{0x121, "CKR_RANDOM_NO_RNG", ClassOperator},
	{0x130, "CKR_DOMAIN_PARAMS_INVALID", ClassBug},
	{0x140, "CKR_CURVE_NOT_SUPPORTED", ClassOperator},
	{0x150, "CKR_BUFFER_TOO_SMALL", ClassBug},
	{0x160, "CKR_SAVED_STATE_INVALID", ClassBug},
	{0x170, "CKR_INFORMATION_SENSITIVE", ClassBug},
	{0x180, "CKR_STATE_UNSAVEABLE", ClassBug},
	{0x190, "CKR_CRYPTOKI_NOT_INITIALIZED", ClassReopen},
	{0x191, "CKR_CRYPTOKI_ALREADY_INITIALIZED", ClassBug},
	{0x1a0, "CKR_MUTEX_BAD", ClassBug},
	{0x1a1, "CKR_MUTEX_NOT_LOCKED", ClassBug},
	{0x1b0, "CKR_NEW_PIN_MODE", ClassOperator},
	{0x1b1, "CKR_NEXT_OTP", ClassOperator},
	{0x1b5, "CKR_EXCEEDED_MAX_ITERATIONS", ClassRetry},
	{0x1b6, "CKR_FIPS_SELF_TEST_FAILED", ClassOperator},
	{0x1b7, "CKR_LIBRARY_LOAD_FAILED", ClassOperator},
	{0x1b8, "CKR_PIN_TOO_WEAK", ClassOperator},
	{0x1b9, "CKR_PUBLIC_KEY_INVALID", ClassBug},
	{0x200, "CKR_FUNCTION_REJECTED", ClassOperator},
	{0x201, "CKR_TOKEN_RESOURCE_EXCEEDED", ClassRetry},
	{0x202, "CKR_OPERATION_CANCEL_FAILED", ClassReopen},
	{0x203, "CKR_KEY_EXHAUSTED", ClassOperator},
	{0x204, "CKR_PENDING", ClassBug},
	{0x205, "CKR_SESSION_ASYNC_NOT_SUPPORTED", ClassBug},
	{0x206, "CKR_SEED_RANDOM_REQUIRED", ClassOperator},
	{0x207, "CKR_OPERATION_NOT_VALIDATED", ClassOperator},
	{0x208, "CKR_TOKEN_NOT_INITIALIZED", ClassOperator},
	{0x209, "CKR_PARAMETER_SET_NOT_SUPPORTED", ClassOperator},
}
