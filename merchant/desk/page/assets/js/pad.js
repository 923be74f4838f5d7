// The screen on which a sale begins.
import * as api from './api.js';
import { Entry, format } from './money.js';
import { $, badge, busy, from, show, text } from './ui.js';
import { count, states, time } from './words.js';

/** recentSales is how many of today's are listed beside the pad. */
const recentSales = 6;

export class Pad {
	constructor(app) {
		this.app = app;
		this.entry = new Entry(2);
		$('keys').addEventListener('click', (e) => {
			const key = e.target.closest('button')?.dataset.key;
			if (key) this.press(key);
		});
		$('pad').addEventListener('submit', (e) => {
			e.preventDefault();
			this.offer();
		});
	}

	/** open shows the pad; after a sale it is empty. */
	open(empty) {
		if (this.entry.exponent !== this.app.till.exponent) this.entry = new Entry(this.app.till.exponent);
		if (empty) this.clear();
		this.draw();
		this.drawToday();
	}

	clear() {
		this.entry.clear();
		$('order').value = $('purpose').value = '';
		text($('pad-error'), '');
	}

	press(key) {
		if (this.entry.key(key)) this.draw();
	}

	/** key is one of the keyboard, wherever the focus is but in a field. */
	key(e) {
		if (e.key === 'Escape') {
			this.clear();
			this.draw();
			document.activeElement?.blur();
		} else if (e.key === 'Enter') {
			if (e.target.closest?.('a, aside, header, #banners')) return;
			this.offer();
		} else if (e.key.length > 1 && e.key !== 'Backspace' || !this.entry.key(e.key)) return;
		e.preventDefault();
		this.draw();
	}

	draw() {
		text($('amount'), format(this.entry.amount, this.entry.exponent));
		text($('amount-currency'), this.app.till.currency);
		$('amount').dataset.empty = String(this.entry.amount === 0);
		$('offer').disabled = this.entry.amount === 0;
	}

	offer() {
		if (this.entry.amount === 0 || !this.app.connected) return;
		busy($('offer'), $('pad-error'), async () => {
			const sale = await api.offer({ amount: this.entry.amount, order: $('order').value.trim(), purpose: $('purpose').value.trim() });
			this.clear(); // a key that is held down makes no second offer
			this.draw();
			this.app.go(`#/sale/${sale.id}`);
		});
	}

	drawToday() {
		const { today, money } = this.app;
		if (!today) return;
		text($('today-amount'), money(today.totals.amount - today.totals.refunded));
		text($('today-count'), count(today.totals.count, 'sale'));
		const list = today.sales.filter((s) => s.state !== 'cancelled').slice(0, recentSales);
		$('recent').replaceChildren(...list.map((s) => {
			const li = from('row');
			li.firstElementChild.href = `#/sale/${s.id}`;
			text(li.querySelector('.when'), time(s.paid ?? s.created));
			text(li.querySelector('.who'), s.order || s.purpose || 'Sale');
			badge(li.querySelector('.badge'), states[s.state]);
			text(li.querySelector('.number'), format(s.amount, s.exponent));
			return li;
		}));
		show($('recent-none'), list.length === 0);
	}
}
