"""The garbage collector of a run: rare until the first node begins, then as usual."""

from kedro.framework.hooks import hook_impl

from quant_pipeline.common.collection import collect_as_usual


class CollectionHooks:
    """Let Python collect as usual as soon as a run computes: what nodes leave behind may be large."""

    @hook_impl(trylast=True)
    def before_node_run(self) -> None:
        """Look from now on through what nodes make, and no more through what was imported for them."""
        collect_as_usual()
