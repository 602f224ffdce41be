mkdir -p below/deep
