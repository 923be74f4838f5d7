// The QR code of an offer, in several pictures where one is too small for its link.
import * as api from './api.js';
import { $, show, text } from './ui.js';

const nextPartAfter = 2500; // milliseconds that a part is shown

export class Code {
	constructor() {
		$('qr-back').addEventListener('click', () => this.turn(-1, true));
		$('qr-on').addEventListener('click', () => this.turn(1, true));
		addEventListener('resize', () => this.fit());
	}

	/** open shows the code of a sale. */
	open(sale) {
		if (this.sale?.id === sale.id) return;
		Object.assign(this, { sale, part: 0, byHand: false, side: 0 });
		show($('qr-parts'), sale.qr_parts > 1);
		this.turn(0, false);
	}

	close() {
		this.sale = null;
		$('qr').removeAttribute('src');
	}

	/** turn goes to another part. */
	async turn(by, byHand) {
		const { sale } = this;
		const n = sale.qr_parts;
		this.part = (this.part + by + n) % n;
		this.byHand ||= byHand;
		this.since = Date.now();
		const { part } = this;
		const svg = await api.qr(sale.id, part + 1).catch(() => '');
		if (this.sale !== sale || this.part !== part || !svg) return;
		this.side = Number(/viewBox="0 0 (\d+) /.exec(svg)?.[1] ?? 0);
		$('qr').src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
		text($('qr-part'), `Part ${part + 1} of ${n}`);
		this.fit();
	}

	/** fit makes each module as many whole pixels of the screen as there is room for: what is uneven, a telephone reads badly. */
	fit() {
		if (!this.side) return;
		const box = $('stage').clientWidth - 2;
		const room = Math.min(box, $('stage').clientHeight - 2 - (this.sale?.qr_parts > 1 ? 56 : 0));
		const dots = Math.max(1, Math.floor((room * devicePixelRatio) / this.side));
		$('qr').width = $('qr').height = (dots * this.side) / devicePixelRatio;
	}

	/** tick is done each second. */
	tick() {
		if (this.sale?.qr_parts > 1 && !this.byHand && Date.now() - this.since > nextPartAfter) this.turn(1, false);
	}
}
