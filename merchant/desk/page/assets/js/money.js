// Amounts are integers of minor units everywhere; here they meet people.

/** The most digits of an amount: all of them are exact in a JavaScript number. */
export const maxDigits = 12;

/** format writes minor units as people read them: 1234567 with two decimals is 12 345.67. */
export function format(amount, exponent) {
	const digits = String(amount).padStart(exponent + 1, '0');
	const whole = digits.slice(0, digits.length - exponent).replace(/\B(?=(\d{3})+$)/g, '\u202f');
	return exponent ? `${whole}.${digits.slice(-exponent)}` : whole;
}

/** parse reads what a person typed into a field; NaN if it is no amount. */
export function parse(text, exponent) {
	const m = /^(\d+)(?:[.,](\d+))?$/.exec(text.replace(/[\s\u202f]/g, ''));
	if (!m || (m[2] ?? '').length > exponent || m[1].length + exponent > maxDigits) return NaN;
	return Number(m[1] + (m[2] ?? '').padEnd(exponent, '0'));
}

/**
 * Entry is an amount while it is typed. Digits come in from the right, as on any
 * till; after a point they are the decimals, for those who write 12.50 out.
 */
export class Entry {
	constructor(exponent) {
		this.exponent = exponent;
		this.clear();
	}

	clear() {
		this.digits = '';
		this.decimals = null;
	}

	/** key takes one key; it says whether it was one for an amount. */
	key(k) {
		if (/^\d+$/.test(k)) [...k].forEach((d) => this.#digit(d));
		else if (k === '.' || k === ',') this.#point();
		else if (k === 'Backspace') this.#back();
		else return false;
		return true;
	}

	#digit(d) {
		if (this.decimals !== null) {
			if (this.decimals.length < this.exponent) this.decimals += d;
		} else if (this.digits.length < maxDigits && (this.digits || d !== '0')) this.digits += d;
	}

	#point() {
		if (this.decimals === null && this.exponent > 0 && this.digits.length + this.exponent <= maxDigits) this.decimals = '';
	}

	#back() {
		if (this.decimals === null) this.digits = this.digits.slice(0, -1);
		else this.decimals = this.decimals ? this.decimals.slice(0, -1) : null;
	}

	get amount() {
		return this.decimals === null ? Number(this.digits) : Number(this.digits + this.decimals.padEnd(this.exponent, '0'));
	}
}
