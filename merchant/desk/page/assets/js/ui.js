// Small helpers of the page.

/** $ is the element with that id. */
export const $ = (id) => document.getElementById(id);

/** show hides or shows an element. */
export function show(el, visible) {
	el.hidden = !visible;
}

/** text puts a text, whatever is in it, and only if it is another. */
export function text(el, words) {
	if (el.textContent !== words) el.textContent = words;
}

/** say tells who can't see the page, politely; alarm at once. */
export const say = (words) => text($('said'), words);
export const alarm = (words) => text($('alarm'), words);

/** make creates an element with a class and a text. */
export function make(tag, name, words = '') {
	const el = document.createElement(tag);
	if (name) el.className = name;
	el.textContent = words;
	return el;
}

/** from copies the one element of a template. */
export const from = (id) => $(id).content.firstElementChild.cloneNode(true);

/** badge colours a state. */
export function badge(el, [words, colour]) {
	el.textContent = words;
	el.dataset.colour = colour;
}

/**
 * busy runs what a button does, once at a time, and says in the place for it what
 * went wrong.
 */
export async function busy(button, place, work) {
	if (button.ariaBusy === 'true') return;
	button.ariaBusy = 'true';
	text(place, '');
	try {
		await work();
	} catch (err) {
		text(place, err.message);
	} finally {
		button.ariaBusy = 'false';
	}
}

/** copy puts a text on the clipboard, also on a page that came without TLS. */
export async function copy(words) {
	if (navigator.clipboard) {
		try {
			await navigator.clipboard.writeText(words);
			return true;
		} catch { /* not allowed: the old way */ }
	}
	const field = make('textarea', 'away', words);
	document.body.append(field);
	field.select();
	const done = document.execCommand('copy');
	field.remove();
	return done;
}
