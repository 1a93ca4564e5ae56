output "arn" {
  description = "ARN of the provider, which roles trust."
  value       = aws_iam_openid_connect_provider.this.arn
}

output "issuer" {
  description = "The issuer's URL."
  value       = var.issuer
}
