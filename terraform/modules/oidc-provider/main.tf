resource "aws_iam_openid_connect_provider" "this" {
  url             = var.issuer
  client_id_list  = var.audiences
  thumbprint_list = var.thumbprints
  tags            = var.tags
}
