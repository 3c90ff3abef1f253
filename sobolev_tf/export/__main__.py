"""Exports a policy: `python -m sobolev_tf.export`."""

import sys

from sobolev_tf.export.policy_signatures import main

sys.exit(main())
