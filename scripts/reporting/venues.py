"""Widths and font sizes of papers. column, text: what \\columnwidth and \\textwidth are in the venue's style, in inches; size:
the points of labels, a point less than the style's captions; small: of ticks and legend."""
GOLDEN = 0.618


class Venue:
    def __init__(self, column, text, size, small, serif=True):
        self.column, self.text, self.size, self.small, self.serif = column, text, size, small, serif

    def single(self, aspect=GOLDEN):
        """Size of a figure in one column; of a wide page's only column it is flatter."""
        return self.column, self.column * (aspect if self.column < 5.4 else 0.8 * aspect)

    def wide(self, height):
        return self.text, height


# None: a page to read, not to print.
VENUES = {
    None: Venue(5.2, 7.2, 9, 7, serif=False),
    "neurips": Venue(5.5, 5.5, 9, 7),        # neurips_20xx.sty: \textwidth 5.5in, captions at 10 points
    "icml": Venue(3.25, 6.75, 8, 7),         # icml20xx.sty: columns of 3.25in, captions at 9 points
    "ieee": Venue(3.5, 7.16, 8, 7),          # IEEEtran: columns of 21 pica, text of 43 pica, captions at 8 points
}


def settings(venue):
    """Matplotlib's parameters. Fonts are embedded as TrueType (type 42): venues refuse Type 3. STIX comes with Matplotlib and
    goes with Times, in which these venues set their text."""
    made = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.hashsalt": "fedlane", "font.size": venue.size,
            "axes.labelsize": venue.size, "axes.titlesize": venue.size, "xtick.labelsize": venue.small,
            "ytick.labelsize": venue.small, "legend.fontsize": venue.small, "axes.grid": True, "axes.axisbelow": True,
            "grid.alpha": 0.3, "grid.linewidth": 0.5, "axes.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False,
            "figure.constrained_layout.use": True}
    if venue.serif:
        made.update({"font.family": "STIXGeneral", "mathtext.fontset": "stix"})
    return made
