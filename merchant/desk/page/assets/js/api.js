// The till's API (api/desk.yaml).

/** Problem is a refusal (RFC 9457); status 0 is no answer at all. */
export class Problem extends Error {
	constructor(status, code, detail, retry) {
		super(detail);
		Object.assign(this, { status, code, retry });
	}
}

async function ask(method, path, body, read = (answer) => answer.json()) {
	let answer;
	try {
		answer = await fetch(`/desk/v1/${path}`, {
			method,
			headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
			body: body === undefined ? undefined : JSON.stringify(body),
		});
	} catch {
		throw new Problem(0, 'unreachable', 'The till does not answer. Is it still running?');
	}
	if (answer.ok) return answer.status === 204 ? null : read(answer);
	const said = await answer.json().catch(() => ({}));
	throw new Problem(answer.status, said.code ?? '', said.detail ?? answer.statusText, Number(answer.headers.get('Retry-After')) || 0);
}

const at = (id) => `sales/${encodeURIComponent(id)}`;

export const signIn = (code) => ask('POST', 'session', { code });
export const signOut = () => ask('DELETE', 'session');
export const till = () => ask('GET', 'till');
export const offer = (o) => ask('POST', 'sales', o);
export const day = (d) => ask('GET', d ? `sales?day=${encodeURIComponent(d)}` : 'sales');
export const sale = (id) => ask('GET', at(id));
export const cancel = (id) => ask('DELETE', at(id));
export const refund = (id, amount, own) => ask('POST', `${at(id)}/refunds`, { amount, id: own });
export const unrefund = (id) => ask('DELETE', `${at(id)}/refunds`);
export const qr = (id, part) => ask('GET', `${at(id)}/qr.svg?part=${part}`, undefined, (answer) => answer.text());
export const deposit = () => ask('POST', 'deposits');

export const receipt = (id) => `/desk/v1/${at(id)}/receipt`;
export const csv = (d) => `/desk/v1/sales.csv?day=${encodeURIComponent(d)}`;

/**
 * events follows the till until stop is called. It connects again by itself: the
 * browser after a broken line, with the number of the last event; this after an
 * answer that the browser takes for the end.
 */
export function events({ sale, till, line, denied }) {
	let source;
	let timer;
	const open = () => {
		source = new EventSource('/desk/v1/events');
		source.addEventListener('sale', (e) => sale(JSON.parse(e.data)));
		source.addEventListener('till', (e) => till(JSON.parse(e.data)));
		source.onopen = () => line(true);
		source.onerror = () => {
			line(false);
			if (source.readyState !== EventSource.CLOSED) return;
			timer = setTimeout(async () => {
				try {
					await ask('GET', 'till');
				} catch (p) {
					if (p.status === 401) return denied();
				}
				open();
			}, 1500);
		};
	};
	open();
	return () => {
		clearTimeout(timer);
		source.close();
	};
}
