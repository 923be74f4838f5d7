// The till's page: who is in, which screen is shown, and what the till tells.
import * as api from './api.js';
import { format } from './money.js';
import { Pad } from './pad.js';
import { SaleScreen } from './sale.js';
import { Takings } from './takings.js';
import { $, alarm, busy, say, show, text } from './ui.js';
import { count, refusal, time } from './words.js';

const screens = ['sign-in', 'sell', 'sale', 'takings'];

/** app is what the screens share. */
const app = {
	till: null, // as the till last described itself
	today: null, // today's sales
	connected: true,
	money: (amount) => `${format(amount, app.till.exponent)} ${app.till.currency}`,
	go(hash) {
		if (location.hash === hash) route();
		else location.hash = hash;
	},
	async refresh() {
		app.today = await api.day();
		pad.drawToday();
		if (current() === 'takings') takings.follow();
	},
};
const pad = new Pad(app);
const sale = new SaleScreen(app);
const takings = new Takings(app);

let stop = null; // ends the stream of events
let timer = null; // of a refresh

const current = () => document.body.dataset.screen;

/** reveal shows one screen, and moves the focus there, for who can't see it change. */
function reveal(name) {
	const changed = current() !== name;
	document.body.dataset.screen = name;
	for (const s of screens) show($(s), s === name);
	for (const a of document.querySelectorAll('[data-nav]')) {
		if (a.dataset.nav === name) a.setAttribute('aria-current', 'page');
		else a.removeAttribute('aria-current');
	}
	if (changed) {
		scrollTo(0, 0);
		$(`${name}-title`)?.focus({ preventScroll: true });
	}
}

/** route shows what the address says. */
async function route() {
	if (!app.till) return;
	const [, name, id] = location.hash.split('/');
	const away = sale.leave();
	if (name === 'sale' && id) {
		if (await sale.open(id)) reveal('sale');
		else app.go('#/');
	} else if (name === 'takings') {
		reveal('takings');
		takings.open();
	} else {
		reveal('sell');
		pad.open(away);
	}
}

/** drawLine says how the till stands with its bank, and this page with the till. */
function drawLine() {
	const { till } = app;
	const o = till.offline;
	const bank = till.bank_reachable;
	$('line').dataset.line = app.connected ? (bank ? 'good' : 'warn') : 'bad';
	text($('line-text'), app.connected ? (bank ? 'Bank reachable' : 'Bank not reachable') : 'Connection lost');
	show($('lost'), !app.connected);
	show($('offline'), app.connected && (!bank || o.kept_count > 0));
	let words = bank ? '' : 'The bank can\u2019t be reached. ';
	if (o.kept_count > 0) words += `${count(o.kept_count, 'payment')} kept here and not deposited yet: ${app.money(o.kept_amount)}, since ${time(o.oldest)}.`;
	else words += o.on ? `You can sell on, up to ${app.money(o.limit_sale)} a sale.` : 'No payment can be accepted until it is back.';
	if ($('offline-title').textContent !== words && !$('offline').hidden) say(words);
	text($('offline-title'), words);
	text($('risk-words'), o.words);
	$('deposit').disabled = o.kept_count === 0;
	$('offer').ariaDisabled = String(!app.connected);
}

function take(till) {
	app.till = till;
	text($('shop-name'), till.name);
	text($('till-name'), till.till);
	document.title = `${till.name} · Specie till`;
	drawLine();
}

/** lose tells of money that is lost: the bank refused what was accepted without it. */
function lose(s) {
	text($('loss-text'), `${app.money(s.amount)}${s.order ? ` for ${s.order}` : ''}: ${refusal(s.code)[0].toLowerCase()}.`);
	$('loss-sale').href = `#/sale/${s.id}`;
	show($('loss'), true);
}

/** soon refreshes the day once events have settled. */
function soon() {
	clearTimeout(timer);
	timer = setTimeout(() => app.refresh().catch(() => {}), 120);
}

/** enter begins when the till let this browser in. */
async function enter() {
	take(await api.till());
	show($('top'), true);
	stop?.();
	stop = api.events({
		sale(s) {
			sale.update(s);
			if (s.state === 'refused') lose(s);
			soon();
		},
		till: take,
		line(good) {
			if (app.connected !== good) (good ? say : alarm)(good ? 'Connected to the till again.' : 'Connection to the till lost.');
			const back = good && !app.connected;
			app.connected = good;
			drawLine();
			if (back) sale.reload();
			if (good) soon();
		},
		denied: () => leave('The till was opened anew. Type its new code.'),
	});
	await app.refresh();
	await route();
}

/** leave goes back to the door. */
function leave(why) {
	stop?.();
	stop = null;
	app.till = null;
	sale.leave();
	show($('top'), false);
	show($('lost'), false);
	show($('offline'), false);
	show($('loss'), false);
	reveal('sign-in');
	text($('code-error'), why);
	$('code').focus();
}

/** wait counts down while codes are not heard. */
function wait(seconds) {
	const button = $('code-form').querySelector('button');
	button.disabled = seconds > 0;
	if (seconds <= 0) return text($('code-error'), 'Try again now.');
	text($('code-error'), `Too many wrong codes. Wait ${count(seconds, 'second')}.`);
	setTimeout(() => wait(seconds - 1), 1000);
}

async function signIn(code) {
	try {
		await api.signIn(code);
	} catch (p) {
		reveal('sign-in');
		if (p.status === 429) return wait(Math.min(p.retry || 1, 60));
		throw p.status === 401 || p.status === 403 ? new Error('That is not the code. It is printed anew each time the till is opened.') : p;
	}
	$('code').value = '';
	await enter();
}

$('code-form').addEventListener('submit', (e) => {
	e.preventDefault();
	busy(e.submitter ?? $('code'), $('code-error'), () => signIn($('code').value));
});
$('leave').addEventListener('click', async () => {
	await api.signOut().catch(() => {});
	leave('');
});
$('deposit').addEventListener('click', () => busy($('deposit'), $('deposit-error'), async () => {
	const { deposits } = await api.deposit();
	const taken = deposits.filter((d) => d.state === 'deposited').length;
	if (taken) say(`The bank has credited ${count(taken, 'kept payment')}.`);
	const left = deposits.find((d) => d.state === 'kept');
	if (left) throw new Error(`Not deposited yet: ${left.reason}. The till tries again by itself.`);
}));
$('loss-seen').addEventListener('click', () => show($('loss'), false));
addEventListener('hashchange', () => {
	const given = codeInAddress();
	if (given) signIn(given).catch((err) => text($('code-error'), err.message));
	else route();
});
addEventListener('keydown', (e) => {
	if (e.ctrlKey || e.altKey || e.metaKey || $('refund').open || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName) && e.key !== 'Escape') return;
	if (current() === 'sell') pad.key(e);
	else if (current() === 'sale') sale.key(e);
});

/** codeInAddress takes the access code out of the address, where it must not stay. */
function codeInAddress() {
	const code = location.hash.slice(1);
	if (!code || code.startsWith('/')) return '';
	history.replaceState(null, '', location.pathname);
	return code;
}

async function begin() {
	const given = codeInAddress();
	try {
		if (given) await signIn(given);
		else await enter();
	} catch (err) {
		reveal('sign-in');
		// Without a session yet, that is no error to tell.
		text($('code-error'), err.status === 401 && !given ? '' : err.message);
		$('code').focus();
	}
}
begin();
