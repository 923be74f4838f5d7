// The screen of a day's takings.
import * as api from './api.js';
import { format } from './money.js';
import { $, badge, from, show, text } from './ui.js';
import { states, time } from './words.js';

export class Takings {
	constructor(app) {
		this.app = app;
		this.day = ''; // none: today
		$('day').addEventListener('change', () => this.choose($('day').value));
		$('day-back').addEventListener('click', () => this.move(-1));
		$('day-on').addEventListener('click', () => this.move(1));
	}

	open() {
		this.choose('');
	}

	/** follow shows the day again when it is today and something happened. */
	follow() {
		if (this.day === '' || this.day === this.app.today.day) this.draw(this.app.today);
	}

	async choose(day) {
		this.day = day;
		try {
			const answer = await api.day(day);
			if (this.day === day) this.draw(answer);
		} catch (err) {
			text($('takings-error'), err.message);
		}
	}

	move(by) {
		const d = new Date(`${$('day').value}T12:00:00Z`);
		if (Number.isNaN(d.getTime())) return;
		d.setUTCDate(d.getUTCDate() + by);
		this.choose(d.toISOString().slice(0, 10));
	}

	draw({ day, sales, totals }) {
		const { money } = this.app;
		const today = this.app.today.day;
		text($('takings-error'), '');
		$('day').value = day;
		$('day').max = today;
		$('day-on').disabled = day >= today;
		$('csv').href = api.csv(day);
		text($('sum-amount'), money(totals.amount));
		text($('sum-refunded'), money(totals.refunded));
		text($('sum-net'), money(totals.amount - totals.refunded));
		text($('sum-count'), String(totals.count));
		text($('sum-kept'), money(totals.kept));
		show($('sum-kept-box'), totals.kept > 0);
		$('table-rows').replaceChildren(...sales.map((s) => {
			const tr = from('line-row');
			text(tr.querySelector('.when'), time(s.paid ?? s.created));
			const a = tr.querySelector('a');
			a.href = `#/sale/${s.id}`;
			text(a, s.order || s.purpose || 'Sale');
			badge(tr.querySelector('.badge'), states[s.state]);
			text(tr.querySelector('.back'), s.refunded ? format(s.refunded, s.exponent) : '');
			text(tr.querySelector('.sum'), format(s.amount, s.exponent));
			if (s.state !== 'deposited' && s.state !== 'kept') tr.className = 'unpaid';
			return tr;
		}));
		show($('table'), sales.length > 0);
		show($('table-none'), sales.length === 0);
	}
}
