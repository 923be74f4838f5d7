// The screen of one sale, from the offer to its receipt.
import * as api from './api.js';
import { Code } from './code.js';
import { format } from './money.js';
import { RefundForm } from './refund.js';
import { drawPapers, drawSlip, drawSteps, verdict } from './saleview.js';
import { $, alarm, busy, copy, say, show, text } from './ui.js';

export class SaleScreen {
	constructor(app) {
		this.app = app;
		this.sale = null;
		this.tick = null;
		this.code = new Code();
		this.refunds = new RefundForm(app, (id) => this.reload(id));
		const on = (id, f) => $(id).addEventListener('click', f);
		on('again', () => {
			this.dismissed = this.sale.steps.length;
			this.draw();
		});
		on('new-sale', () => app.go('#/'));
		on('offer-again', () => this.offerAgain());
		on('copy', () => busy($('copy'), $('sale-error'), async () => {
			const done = await copy(this.sale.link);
			text($('copy'), done ? 'Copied' : 'Not copied');
			say(done ? 'Link copied.' : 'The browser does not copy.');
			setTimeout(() => text($('copy'), 'Copy link'), 2000);
		}));
		on('cancel', () => this.cancel());
		on('print', () => print());
		on('give-back', () => this.refunds.open(this.sale));
		on('take-back', () => busy($('take-back'), $('sale-error'), async () => {
			await api.unrefund(this.sale.id);
			await this.reload();
		}));
	}

	/** open shows the sale with that id; it says whether there is one. */
	async open(id) {
		try {
			this.sale = null;
			const sale = await this.ask(id);
			Object.assign(this, { sale, dismissed: 0, told: '' });
		} catch {
			return false;
		}
		text($('sale-error'), '');
		this.tick = setInterval(() => this.count(), 1000);
		this.draw();
		return true;
	}

	/** leave ends what runs while it is shown; it says whether a sale was shown. */
	leave() {
		clearInterval(this.tick);
		this.code.close();
		const was = this.sale !== null;
		this.sale = null;
		return was;
	}

	/** update takes what an event says. */
	update(sale) {
		this.news = sale;
		if (this.sale?.id !== sale.id) return;
		this.sale = sale;
		this.draw();
	}

	/** reload asks for the sale, of which events may have been missed. */
	async reload(id = this.sale?.id) {
		const sale = id && (await this.ask(id).catch(() => null));
		if (sale) this.update(sale);
	}

	/** ask asks for a sale; what an event says of it before the answer is here is newer. */
	async ask(id) {
		this.news = null;
		const sale = await api.sale(id);
		return this.news?.id === id ? this.news : sale;
	}

	/** key is one of the keyboard. */
	key(e) {
		if (e.key === 'Escape') {
			if (this.payable()) this.cancel();
			else this.app.go('#/');
		} else if (e.key === 'Enter' && !e.target.closest?.('a, button') && !this.payable()) {
			this.app.go('#/');
		}
	}

	payable() {
		return ['waiting', 'checked', 'held'].includes(this.sale?.state);
	}

	cancel() {
		busy($('cancel'), $('sale-error'), async () => {
			await api.cancel(this.sale.id);
			say('Cancelled. Nothing was paid.');
			this.app.go('#/');
		});
	}

	offerAgain() {
		busy($('offer-again'), $('sale-error'), async () => {
			const { amount, order, purpose } = this.sale;
			const sale = await api.offer({ amount, order, purpose });
			this.app.go(`#/sale/${sale.id}`);
		});
	}

	/** count is done each second. */
	count() {
		const { sale } = this;
		if (!sale || !this.payable()) return;
		const left = Math.max(0, Math.round((new Date(sale.expires) - Date.now()) / 1000));
		text($('countdown'), left ? `Valid for ${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')} more` : 'Expiring');
		this.code.tick();
	}

	draw() {
		const { sale } = this;
		const payable = this.payable();
		const v = verdict(sale, this.dismissed, this.app);
		$('stage').dataset.look = v.look;
		show($('qr-box'), v.look === 'waiting');
		show($('verdict'), v.look !== 'waiting');
		text($('verdict-title'), v.title);
		text($('verdict-text'), v.text);
		show($('again'), v.look === 'refused' && payable);
		if (payable) this.code.open(sale);
		text($('sale-amount'), format(sale.amount, sale.exponent));
		text($('sale-currency'), sale.currency);
		text($('sale-what'), [sale.order, sale.purpose].filter(Boolean).join(' · '));
		drawSteps(sale);
		drawPapers(sale, this.app);
		drawSlip(sale, this.app);
		this.drawActions(payable);
		this.count();
		const told = `${v.title} ${v.text}`.trim();
		if (told !== this.told) (v.look === 'refused' ? alarm : say)(told);
		this.told = told;
	}

	drawActions(payable) {
		const { sale } = this;
		const paid = sale.state === 'deposited';
		const active = document.activeElement;
		show($('countdown'), payable);
		show($('copy'), payable);
		show($('cancel'), payable);
		show($('new-sale'), !payable && sale.state !== 'depositing');
		show($('offer-again'), sale.state === 'expired' || sale.state === 'refused');
		show($('print'), paid || sale.state === 'kept');
		const papers = paid || sale.state === 'kept' || sale.state === 'refused';
		show($('save'), papers);
		show($('give-back'), paid && sale.refundable > 0);
		show($('take-back'), sale.refund_waiting > 0);
		if (papers) $('save').href = api.receipt(sale.id);
		// Who works by keyboard goes on from here, not from nowhere.
		if (active?.hidden) $('sale-title').focus({ preventScroll: true });
	}
}
