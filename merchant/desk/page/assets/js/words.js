// What the till says. Each refusal tells the seller what happened and what to do.

const again = 'Nothing was paid. Ask for other coins, or take the money in another way.';

const refusals = {
	'double-spend': ['Coins spent before', `Somebody has paid with these coins already. ${again}`],
	'coin-held': ['Coins held elsewhere', 'Another till has had these coins checked a moment ago. Nothing was paid; the customer can try again shortly.'],
	binding: ['Foreign TPM', `These coins are bound to another device than the one that pays: they may be stolen. ${again}`],
	expelled: ['Expelled member', `The payer\u2019s membership has been ended. ${again}`],
	'owner-signature': ['Not the owner', `The payer could not prove that these coins are his. ${again}`],
	'coin-signature': ['Not real coins', `The bank has not signed these coins. ${again}`],
	'unknown-key': ['Unknown coins', `The bank does not know coins of this kind. ${again}`],
	'key-expired': ['Coins too old', `These coins have expired for payments; the customer can exchange them at his bank. ${again}`],
	'key-not-yet': ['Coins not valid yet', again],
	'key-revoked': ['Coins recalled', `The bank has recalled coins of this kind; it makes the customer\u2019s good. ${again}`],
	'wrong-bank': ['Another bank\u2019s coins', `This till takes coins of its own bank only. ${again}`],
	'wrong-currency': ['Another currency', again],
	'wrong-amount': ['Wrong amount', `The coins do not add up to the amount. ${again}`],
	'offer-expired': ['Too late', 'The offer had expired when the payment came. Nothing was paid. Offer again.'],
	unavailable: ['Bank not reachable', 'Not accepted: the bank can\u2019t be asked, and this is beyond what the till may take without it. Don\u2019t hand anything over. If the bank credits it later after all, it shows here, and you can refund it.'],
	suspended: ['Account suspended', 'The bank has suspended this account. Call the bank.'],
};

/** refusal says a refusal's code in a title and a sentence. */
export const refusal = (code) => refusals[code] ?? ['Payment refused', again];

/** states are the words for a sale's state, and the colour they come in. */
export const states = {
	waiting: ['waiting', 'grey'],
	checked: ['coins checked', 'grey'],
	held: ['held', 'grey'],
	depositing: ['depositing', 'grey'],
	deposited: ['paid', 'green'],
	kept: ['kept', 'amber'],
	refused: ['refused', 'red'],
	expired: ['expired', 'grey'],
	cancelled: ['cancelled', 'grey'],
};

/** the ladder of a sale, from the offer to the money. */
const ladder = [
	['waiting', 'Waiting for payment'],
	['coins-checked', 'Coins checked'],
	['binding-verified', 'TPM binding verified'],
	['held', 'Held by the bank'],
	['deposited', 'Deposited'],
];

const ends = { refused: 'Refused', expired: 'Expired', cancelled: 'Cancelled' };

/**
 * steps are the rungs of a sale as the page shows them: {text, at, look}, look being
 * done, now, open, skipped, kept or refused.
 */
export function steps(sale) {
	// An attempt that was refused begins anew below its refusal.
	// What was kept and refused then is one attempt, to its bitter end.
	const lost = sale.state === 'refused';
	const from = sale.steps.slice(0, lost ? -1 : undefined).findLastIndex((s) => s.step === 'refused') + 1;
	const refused = sale.steps.slice(0, from).filter((s) => s.step === 'refused');
	const first = sale.steps.find((s) => s.step === 'waiting');
	const seen = new Map(sale.steps.slice(from).map((s) => [s.step, s]));
	if (first) seen.set('waiting', first);
	const rungs = inOrder([...seen.keys()]);
	const top = rungs.findLastIndex(([step]) => seen.has(step));
	const over = ['deposited', 'kept', 'refused', 'expired', 'cancelled'].includes(sale.state);
	const out = rungs.map(([step, text], i) => {
		const at = seen.get(step)?.at;
		if (at) return { text, at, look: i === top && !over ? 'now' : 'done' };
		if (i < top || (over && sale.state !== 'deposited')) return { text: skipped(step, sale, text), look: 'skipped' };
		return { text, look: 'open' };
	});
	const last = out.at(-1);
	if (seen.has('depositing') && last.look === 'open') Object.assign(last, { text: 'Depositing', at: seen.get('depositing').at, look: 'now' });
	if (sale.state === 'kept' || (lost && seen.has('kept'))) Object.assign(last, { text: lost ? 'Kept' : 'Kept, deposit follows', at: seen.get('kept')?.at, look: 'kept' });
	const tries = refused.map((s) => ({ text: `Refused: ${lower(refusal(s.code)[0])}`, at: s.at, look: 'refused', reason: s.reason }));
	out.splice(1, 0, ...tries.slice(-3));
	for (const [step, text] of Object.entries(ends)) {
		if (sale.state === step && seen.has(step)) out.push({ text, at: seen.get(step).at, look: 'refused' });
	}
	return sale.state === 'expired' || sale.state === 'cancelled' ? out.filter((s) => s.look !== 'skipped' && s.look !== 'open') : out;
}

/**
 * inOrder is the ladder as it is climbed: who shows his coins first has them held
 * before he lets his TPM speak.
 */
function inOrder(seen) {
	const held = seen.indexOf('held');
	const binding = seen.indexOf('binding-verified');
	if (held < 0 || (binding >= 0 && binding < held)) return ladder;
	return ladder.with(2, ladder[3]).with(3, ladder[2]);
}

function skipped(step, sale, text) {
	if (step === 'binding-verified') return sale.coins ? 'No bound coins in it' : text;
	if (step === 'held' && sale.state === 'deposited') return 'Deposited without a hold';
	return text;
}

const lower = (words) => words[0].toLowerCase() + words.slice(1);

/** time is the clock's, of an RFC 3339 time. */
export const time = (at) => new Date(at).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });

/** moment has the day too. */
export const moment = (at) => `${new Date(at).toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' })}, ${time(at)}`;

/** count is a number of things. */
export const count = (n, thing) => `${n} ${thing}${n === 1 ? '' : 's'}`;
