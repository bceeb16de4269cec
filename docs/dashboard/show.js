// Draws the page's pictures, each as wide as its place, and again when that
// changes.  Colours are the style's, so that light and dark need no drawing.
'use strict';

(() => {
	const options = {
		renderer: 'svg', actions: false, defaultStyle: false,
		// expressions are interpreted: the page's policy knows no eval
		ast: true, expr: vega.expressionInterpreter,
		tooltip: { disableDefaultStyle: true, theme: 'page' },
	};
	const narrowest = 120;

	// Words, broken into lines of at most about that many pixels.
	function lines(words, width) {
		const most = Math.max(20, Math.floor(width / 6.5));
		const found = [''];

		for (const word of words.split(' '))
			if ((found.at(-1) + word).length > most)
				found.push(word);
			else
				found[found.length - 1] += (found.at(-1) && ' ') + word;
		return found;
	}

	// The specification for a plotting area of that width.
	function sized(spec, width) {
		const copy = structuredClone(spec);
		const { heightOfWidth, squares } = copy.usermeta ?? {};

		if (copy.vconcat)
			for (const panel of copy.vconcat) {
				panel.width = width;
				if (panel.title?.subtitle)
					panel.title.subtitle = lines(panel.title.subtitle, width);
			}
		else if (copy.facet)
			copy.spec.width = width;
		else
			copy.width = width;
		if (heightOfWidth)
			copy.height = Math.round(Math.min(
				Math.max(width * heightOfWidth, 240, width * 0.5), 460, width * 1.1));
		if (squares)
			copy.height = Math.round(Math.min(Math.max(width, 200), 460));
		return copy;
	}

	const widthOf = place =>
		place.querySelector('svg')?.getBoundingClientRect().width ?? 0;

	// Labels take what they need: what is left is known after a first drawing.
	async function draw(place, spec) {
		const room = place.clientWidth;
		let columns = 1;
		let width = Math.max(narrowest, room - 100);

		place.view?.finalize();
		if (spec.facet) {
			columns = Math.max(1, Math.min(3, Math.floor(room / 300)));
			spec.columns = columns;
			width = Math.max(narrowest, Math.floor(room / columns) - 60);
		}
		if (spec.config?.legend) {
			spec.config.legend.columns = Math.max(1, Math.floor(room / 330));
			spec.config.legend.labelLimit = Math.min(320, room - 40);
		}
		for (let attempt = 0; attempt < 3; attempt++) {
			const { view } = await vegaEmbed(place, sized(spec, width),
				options);
			const spare = room - widthOf(place);

			place.view = view;
			// its place says what it is; marks one by one would say nothing
			place.querySelector('svg').setAttribute('aria-hidden', 'true');
			if (spare >= 0 && spare < 2 + columns)
				break;
			const next = Math.max(narrowest, width + Math.floor(spare / columns));
			if (next === width || attempt === 2)
				break;
			view.finalize();
			width = next;
		}
	}

	const places = [...document.querySelectorAll('script[data-for]')].map(
		script => ({
			place: document.getElementById(script.dataset.for),
			spec: JSON.parse(script.textContent),
		}));

	function drawOne({ place, spec }) {
		return draw(place, spec).catch(error => {
			place.textContent = 'This picture could not be drawn: ' + error;
			console.error(error);
		});
	}

	async function drawAll() {
		for (const one of places) {
			one.width = one.place.clientWidth;
			await drawOne(one);
		}
		document.documentElement.dataset.ready = 'yes';
	}

	// ---- paper ----

	// A sheet is narrower than most windows, and cannot wait for a drawing from
	// the start: the plotting areas are made narrower, at once.
	const sheet = 640;
	const isWidth = name => /^(width|child_width|concat_\d+_width)$/.test(name);

	function resize({ place, spec }, room) {
		const signals = Object.entries(place.view.getState(
			{ signals: isWidth, data: () => false }).signals)
			.filter(([name, value]) => isWidth(name) && value > 0);
		const columns = spec.facet ? spec.columns : 1;

		for (const [name, value] of signals)
			place.view.signal(name, Math.max(narrowest,
				value + Math.floor((room - widthOf(place)) / columns)));
		place.view.run();
	}

	function eachOnPaper(one, room) {
		if (one.place.view && one.width > sheet)
			try {
				resize(one, room);
			} catch (error) {
				console.error(error);
			}
	}

	// ---- the window ----

	let waiting;
	let printing = false;

	function redraw() {
		clearTimeout(waiting);
		waiting = setTimeout(() => {
			if (!printing && places.some(
				one => one.width !== one.place.clientWidth))
				drawAll();
		}, 150);
	}

	addEventListener('beforeprint', () => {
		printing = true;
		places.forEach(one => eachOnPaper(one, sheet));
	});
	addEventListener('afterprint', () => {
		printing = false;
		places.forEach(one => eachOnPaper(one, one.width));
	});
	// widths of words are measured: the typefaces must be there
	Promise.all([document.fonts.load('12px "Inter Variable"'),
		document.fonts.load('600 12px "Inter Variable"')])
		.catch(() => {}).then(drawAll)
		.then(() => addEventListener('resize', redraw));
})();
