// How a sale looks: its verdict, its steps and its papers.
import { $, make, show, text } from './ui.js';
import { count, moment, refusal, steps, time } from './words.js';

/**
 * verdict is what the stage shows large: {look, title, text}. dismissed is how many
 * steps the seller has seen and put away.
 */
export function verdict(sale, dismissed, app) {
	const last = sale.steps.at(-1) ?? {};
	switch (sale.state) {
	case 'deposited':
		return sale.refunded >= sale.amount
			? { look: 'ended', title: 'Given back', text: `${app.money(sale.refunded)} went back to the customer.` }
			: { look: 'paid', title: 'Paid', text: `The bank has credited ${app.money(sale.amount)}.` };
	case 'kept':
		return { look: 'kept', title: 'Accepted without the bank', text: 'Coins and owner are verified here. The deposit follows by itself; until then the risk is yours.' };
	case 'expired':
		return { look: 'ended', title: 'Offer expired', text: 'Nobody paid in time. Nothing was taken.' };
	case 'cancelled':
		return { look: 'ended', title: 'Cancelled', text: 'This offer was taken back. Nothing was paid.' };
	case 'refused': {
		const [title] = refusal(sale.code);
		const proof = sale.proof ? ' The bank\u2019s proof is in the papers.' : '';
		return { look: 'refused', title, text: `You accepted this without the bank, which refuses it now: ${app.money(sale.amount)} are lost.${proof}` };
	}
	}
	if (last.step === 'refused' && sale.steps.length > dismissed) {
		const [title, words] = refusal(last.code);
		return { look: 'refused', title, text: words };
	}
	switch (sale.state) {
	case 'checked': return { look: 'busy', title: 'Coins are good', text: 'Asking the bank…' };
	case 'held': return { look: 'busy', title: 'Held for you', text: 'The bank holds the coins; the customer confirms now.' };
	case 'depositing': return { look: 'busy', title: 'Depositing', text: 'Coins and owner are verified. Waiting for the bank.' };
	}
	return { look: 'waiting', title: '', text: '' };
}

export function drawSteps(sale) {
	$('steps').replaceChildren(...steps(sale).map((s) => {
		const li = make('li');
		li.dataset.look = s.look;
		if (s.look === 'now') li.setAttribute('aria-current', 'step');
		li.append(make('span', 'rung', s.text), make('time', '', s.at ? time(s.at) : ''));
		if (s.reason) li.title = s.reason;
		return li;
	}));
}

const row = (term, words) => [make('dt', '', term), make('dd', '', words)];

/** facts are what stands on a receipt, in pairs. */
function facts(sale, app) {
	const out = [];
	if (sale.paid) out.push([sale.state === 'deposited' ? 'Paid' : 'Accepted', moment(sale.paid)]);
	if (sale.coins) out.push(['With', count(sale.coins, 'coin') + (sale.bound ? `, ${sale.bound} bound to the payer\u2019s TPM` : '')]);
	if (sale.refunded) out.push(['Given back', app.money(sale.refunded)]);
	if (sale.refund_waiting) out.push(['Waits for the customer', app.money(sale.refund_waiting)]);
	if (sale.op) out.push(['Payment', sale.op]);
	return out;
}

export function drawPapers(sale, app) {
	const list = sale.paid ? facts(sale, app).map(([a, b]) => [a, a === 'Payment' ? `${b.slice(0, 12)}…` : b]) : [];
	$('papers').replaceChildren(...list.flatMap(([a, b]) => row(a, b)));
	show($('papers'), list.length > 0);
}

/** drawSlip writes what is printed. */
export function drawSlip(sale, app) {
	const list = make('dl');
	const all = [['Order', sale.order], ['For', sale.purpose], ...facts(sale, app), ['Till', app.till.till], ['Merchant', app.till.merchant]];
	for (const [a, b] of all) if (b) list.append(...row(a, b));
	$('slip').replaceChildren(make('h2', '', app.till.name), make('p', 'sum', app.money(sale.amount)), list,
		make('p', 'soft', sale.state === 'deposited' ? 'Paid with electronic cash. The bank\u2019s receipt is in the till\u2019s papers.' : 'Accepted without the bank; its receipt follows.'));
}
