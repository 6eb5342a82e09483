#!/usr/bin/env python3
"""fedlane privacy against what defines it: the moment of the sampled Gaussian as an integral (mpmath, 30 digits), turned into
epsilon here, and, where it is installed, the package dp-accounting. usage: privacy_truth.py FEDLANE [SETTINGS, default 12]; exit
1 when a difference exceeds 1e-8 of epsilon (1e-6: the package gives its series up after 1,000 terms). A minute a dozen."""
import json
import random
import subprocess
import sys

import mpmath as mp

mp.mp.dps = 30
ORDERS = [mp.mpf(i) / 10 for i in range(11, 110)] + [mp.mpf(i) for i in range(11, 64)] + [128, 256, 512, 1024]


def rdp(q, noise, order):
    """ln E[((1-q) + q exp((2z-1)/(2 noise^2)))^order]/(order - 1), z normal with deviation `noise`."""
    def density(z):
        return mp.npdf(z, 0, noise) * mp.exp(order * mp.log((1 - q) + q * mp.exp((2 * z - 1) / (2 * noise * noise))))
    turn = noise ** 2 * mp.log(1 / q - 1) + mp.mpf(1) / 2
    points = sorted({-12 * noise, -4 * noise, mp.mpf(0), turn, 4 * noise, order, order + 4 * noise, order + 14 * noise})
    return mp.log(mp.quad(density, points)) / (order - 1)


def epsilon(q, noise, rounds, delta, order):
    spent = rounds * rdp(mp.mpf(q), mp.mpf(noise), order)
    return spent + mp.log((order - 1) / order) - (mp.log(delta) + mp.log(order)) / (order - 1)


def ours(fedlane, q, noise, rounds, delta):
    words = [fedlane, "privacy", "--participation", str(q), "--noise_multiplier", str(noise), "--rounds", str(rounds),
             "--dp_delta", str(delta)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def package(q, noise, rounds, delta):
    try:
        from dp_accounting import dp_event
        from dp_accounting.rdp import rdp_privacy_accountant as accountant
    except ImportError:
        return None
    a = accountant.RdpAccountant([float(o) for o in ORDERS])
    a.compose(dp_event.PoissonSampledDpEvent(q, dp_event.GaussianDpEvent(noise)), rounds)
    return a.get_epsilon(delta)


def main():
    fedlane, settings = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 12
    draw, worst, worst_package = random.Random(1), 0.0, 0.0
    for _ in range(settings):
        q, noise = round(10 ** draw.uniform(-3, -0.3), 5), round(draw.uniform(0.7, 4), 3)
        rounds, delta = draw.choice([1, 30, 300, 3000]), draw.choice([1e-2, 1e-3, 1e-5, 1e-7])
        got = ours(fedlane, q, noise, rounds, delta)
        order = mp.mpf(round(got["order"] * 10)) / 10
        want = epsilon(q, noise, rounds, delta, order)
        other = package(q, noise, rounds, delta)
        worst = max(worst, abs(float(got["epsilon"] / want - 1)))
        if other is not None:
            worst_package = max(worst_package, abs(other / got["epsilon"] - 1))
        print(f"q {q} noise {noise} rounds {rounds} delta {delta}: {got['epsilon']} at {got['order']}, integral "
              f"{mp.nstr(want, 13)}, dp-accounting {other}")
    print(f"worst relative difference: integral {worst:.1e}, dp-accounting {worst_package:.1e}")
    return int(worst > 1e-8 or worst_package > 1e-6)


if __name__ == "__main__":
    sys.exit(main())
