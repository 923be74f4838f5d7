// The dialog that gives money back.
import * as api from './api.js';
import { parse } from './money.js';
import { $, busy, say, show, text } from './ui.js';

/** fresh makes an id: 16 random bytes in base64url. */
const fresh = () =>
	btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))))
		.replaceAll('+', '-')
		.replaceAll('/', '_')
		.replaceAll('=', '');

export class RefundForm {
	/** done is called with the sale's id when something was given back. */
	constructor(app, done) {
		Object.assign(this, { app, done });
		$('refund-form').addEventListener('change', () => this.draw());
		$('refund-part').addEventListener('input', () => this.draw());
		$('refund-no').addEventListener('click', () => $('refund').close());
		$('refund-form').addEventListener('submit', (e) => {
			e.preventDefault();
			busy($('refund-yes'), $('refund-error'), () => this.give());
		});
	}

	open(sale) {
		this.sale = sale;
		this.id = fresh(); // pressed again after a lost answer, it gives once
		$('refund-form').reset();
		text($('refund-of'), `Of ${this.app.money(sale.amount)}${sale.order ? ` for ${sale.order}` : ''}`);
		text($('refund-all'), `All that is left: ${this.app.money(sale.refundable)}`);
		text($('refund-error'), '');
		this.draw();
		$('refund').showModal();
	}

	get part() {
		return new FormData($('refund-form')).get('how') === 'part';
	}

	get amount() {
		return this.part ? parse($('refund-part').value, this.sale.exponent) : this.sale.refundable;
	}

	draw() {
		show($('refund-part-box'), this.part);
		if (this.part && document.activeElement?.name === 'how') $('refund-part').focus();
		const { amount } = this;
		const good = amount > 0 && amount <= this.sale.refundable;
		text($('refund-yes'), good ? `Give ${this.app.money(amount)} back` : 'Give back');
		$('refund-yes').disabled = !good;
		text($('refund-error'), amount > this.sale.refundable ? `At most ${this.app.money(this.sale.refundable)} is left.` : '');
	}

	async give() {
		const { amount } = this;
		try {
			await api.refund(this.sale.id, amount, this.id);
		} catch (p) {
			if (p.code === 'refund-id') p.message = 'The till has given another amount back already, from this dialog. Close it and look at the sale.';
			throw p;
		}
		$('refund').close();
		say(`${this.app.money(amount)} wait for the customer.`);
		await this.done(this.sale.id);
	}
}
